/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.vineyard;

import java.time.Clock;
import java.time.LocalDate;
import java.time.Period;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * Keeps the casks of the vineyard in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the vineyard has one desk.
 */
public class CellarBook {

  private final Map<String, Cask> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public CellarBook(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a cask.
   *
   * @param cask what is to be kept
   * @throws IllegalStateException when its mark is already taken
   */
  @ChangesCask("a cask came in")
  public void register(Cask cask) {
    if (entries.putIfAbsent(cask.mark(), cask) != null) {
      throw new IllegalStateException("mark is taken: " + cask.mark());
    }
  }

  /** Adds up the litres of all casks in the books. */
  public int totalLitres() {
    return entries.values().stream().mapToInt(Cask::litres).sum();
  }

  /**
   * Lists what stands in one vault.
   *
   * @param vault the vault to look at, in the spelling of the books
   * @return its casks, those with the most litres first
   */
  public List<Cask> inVault(String vault) {
    return entries.values().stream()
        .filter(entry -> entry.vault().equals(vault))
        .sorted(Comparator.comparingInt(Cask::litres).reversed())
        .toList();
  }

  /** Works out how many litres a cask has on average, for each vault. */
  public Map<String, Double> averageByVault() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Cask::vault, TreeMap::new, Collectors.averagingInt(Cask::litres)));
  }

  /**
   * Finds the casks that have been kept for too long.
   *
   * @param limit how long a cask may stay
   * @return the mark of each that was entered before that, sorted
   */
  public SortedSet<String> overdueCasks(Period limit) {
    LocalDate oldestCask = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueCasks = new TreeSet<>();
    for (Cask cask : entries.values()) {
      if (cask.since().isBefore(oldestCask)) {
        overdueCasks.add(cask.mark());
      }
    }
    return overdueCasks;
  }

  /**
   * Takes a cask apart from the others when something is wrong with it.
   *
   * @param mark which cask
   * @param vault the vault that is set aside for such cases
   * @return the cask as it was before, or nothing when nobody knows it
   */
  @ChangesCask("set aside")
  public Optional<Cask> isolate(String mark, String vault) {
    Cask before = entries.get(mark);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(mark, new Cask(mark, vault, before.litres(), before.since()));
    return Optional.of(before);
  }

  /** Prints the sheet that hangs at the door: one line for each vault, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByVault().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Casks of the vineyard
        %s
        Together: %d litres
        """.formatted(lines, totalLitres());
  }

  /** Returns one page of the casks, counted from zero; a page behind the last cask is empty. */
  public List<Cask> pageOfCasks(int number, int casksPerPage) {
    long firstCask = (long) number * casksPerPage;
    return entries.values().stream().skip(firstCask).limit(casksPerPage).toList();
  }

  public boolean hasRoomFor(String vault, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.vault().equals(vault))
        .mapToInt(Cask::litres)
        .sum();
    return used + more <= capacity;
  }
}
