/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.pharmacy;

import java.time.Clock;
import java.time.LocalDate;
import java.time.Period;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * Keeps the remedies of the pharmacy in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the pharmacy has one desk.
 */
public class DispensaryLedger {

  private final Map<String, Remedy> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public DispensaryLedger(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a remedy.
   *
   * @param remedy what is to be kept
   * @throws IllegalStateException when its formula is already taken
   */
  @ChangesRemedy("a remedy came in")
  public void register(Remedy remedy) {
    if (entries.putIfAbsent(remedy.formula(), remedy) != null) {
      throw new IllegalStateException("formula is taken: " + remedy.formula());
    }
  }

  /** Adds up the doses of all remedies in the books. */
  public int totalDoses() {
    return entries.values().stream().mapToInt(Remedy::doses).sum();
  }

  /**
   * Lists what stands in one drawer.
   *
   * @param drawer the drawer to look at, in the spelling of the books
   * @return its remedies, those with the most doses first
   */
  public List<Remedy> inDrawer(String drawer) {
    return entries.values().stream()
        .filter(entry -> entry.drawer().equals(drawer))
        .sorted(Comparator.comparingInt(Remedy::doses).reversed())
        .toList();
  }

  /** Works out how many doses a remedy has on average, for each drawer. */
  public Map<String, Double> averageByDrawer() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Remedy::drawer, TreeMap::new, Collectors.averagingInt(Remedy::doses)));
  }

  /**
   * Finds the remedies that have been kept for too long.
   *
   * @param limit how long a remedy may stay
   * @return the formula of each that was entered before that, sorted
   */
  public SortedSet<String> overdueRemedies(Period limit) {
    LocalDate oldestRemedy = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueRemedies = new TreeSet<>();
    for (Remedy remedy : entries.values()) {
      if (remedy.since().isBefore(oldestRemedy)) {
        overdueRemedies.add(remedy.formula());
      }
    }
    return overdueRemedies;
  }

  /**
   * Takes a remedy apart from the others when something is wrong with it.
   *
   * @param formula which remedy
   * @param drawer the drawer that is set aside for such cases
   * @return the remedy as it was before, or nothing when nobody knows it
   */
  @ChangesRemedy("set aside")
  public Optional<Remedy> isolate(String formula, String drawer) {
    Remedy before = entries.get(formula);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(formula, new Remedy(formula, drawer, before.doses(), before.since()));
    return Optional.of(before);
  }

  /**
   * Hands out doses until a demand is met, smallest remedies first, and strikes out what is used up.
   *
   * @param demand how many doses are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<Remedy> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(Remedy::doses));
    int open = demand;
    for (Remedy entry : byAmount) {
      if (open < entry.doses()) {
        break;
      }
      open -= entry.doses();
      entries.remove(entry.formula());
    }
    return open;
  }

  /** Prints the sheet that hangs at the door: one line for each drawer, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByDrawer().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Remedies of the pharmacy
        %s
        Together: %d doses
        """.formatted(lines, totalDoses());
  }

  /** Returns one page of the remedies, counted from zero; a page behind the last remedy is empty. */
  public List<Remedy> pageOfRemedies(int number, int remediesPerPage) {
    long firstRemedy = (long) number * remediesPerPage;
    return entries.values().stream().skip(firstRemedy).limit(remediesPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.doses() > limit, Collectors.counting()));
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Remedy> newest() {
    return entries.values().stream().max(Comparator.comparing(Remedy::since));
  }

  public boolean hasRoomFor(String drawer, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.drawer().equals(drawer))
        .mapToInt(Remedy::doses)
        .sum();
    return used + more <= capacity;
  }
}
