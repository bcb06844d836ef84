/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.reservoir;

import java.time.Clock;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Keeps the sluices of the reservoir in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the reservoir has one desk.
 */
public class WaterBoard {

  private final Map<String, Sluice> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public WaterBoard(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a sluice.
   *
   * @param sluice what is to be kept
   * @throws IllegalStateException when its gauge is already taken
   */
  @ChangesSluice("a sluice came in")
  public void register(Sluice sluice) {
    if (entries.putIfAbsent(sluice.gauge(), sluice) != null) {
      throw new IllegalStateException("gauge is taken: " + sluice.gauge());
    }
  }

  /** Adds up the turns of the wheel of all sluices in the books. */
  public int totalTurns() {
    return entries.values().stream().mapToInt(Sluice::turns).sum();
  }

  /** Works out how many turns of the wheel a sluice has on average, for each dam. */
  public Map<String, Double> averageByDam() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Sluice::dam, TreeMap::new, Collectors.averagingInt(Sluice::turns)));
  }

  /**
   * Takes a sluice apart from the others when something is wrong with it.
   *
   * @param gauge which sluice
   * @param dam the dam that is set aside for such cases
   * @return the sluice as it was before, or nothing when nobody knows it
   */
  @ChangesSluice("set aside")
  public Optional<Sluice> isolate(String gauge, String dam) {
    Sluice before = entries.get(gauge);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(gauge, new Sluice(gauge, dam, before.turns(), before.since()));
    return Optional.of(before);
  }

  /** Prints the sheet that hangs at the door: one line for each dam, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByDam().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Sluices of the reservoir
        %s
        Together: %d turns of the wheel
        """.formatted(lines, totalTurns());
  }

  /** Returns one page of the sluices, counted from zero; a page behind the last sluice is empty. */
  public List<Sluice> pageOfSluices(int number, int sluicesPerPage) {
    long firstSluice = (long) number * sluicesPerPage;
    return entries.values().stream().skip(firstSluice).limit(sluicesPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.turns() > limit, Collectors.counting()));
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Sluice> newest() {
    return entries.values().stream().max(Comparator.comparing(Sluice::since));
  }
}
