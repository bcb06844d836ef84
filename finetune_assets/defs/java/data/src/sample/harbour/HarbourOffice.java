/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.harbour;

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
 * Keeps the berths of the harbour in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the harbour has one desk.
 */
public class HarbourOffice {

  private final Map<String, Berth> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public HarbourOffice(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a berth.
   *
   * @param berth what is to be kept
   * @throws IllegalStateException when its number is already taken
   */
  @ChangesBerth("a berth came in")
  public void register(Berth berth) {
    if (entries.putIfAbsent(berth.number(), berth) != null) {
      throw new IllegalStateException("number is taken: " + berth.number());
    }
  }

  /** Adds up the metres of quay of all berths in the books. */
  public int totalMetres() {
    return entries.values().stream().mapToInt(Berth::metres).sum();
  }

  /**
   * Lists what stands in one quay.
   *
   * @param quay the quay to look at, in the spelling of the books
   * @return its berths, those with the most metres of quay first
   */
  public List<Berth> inQuay(String quay) {
    return entries.values().stream()
        .filter(entry -> entry.quay().equals(quay))
        .sorted(Comparator.comparingInt(Berth::metres).reversed())
        .toList();
  }

  /** Works out how many metres of quay a berth has on average, for each quay. */
  public Map<String, Double> averageByQuay() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Berth::quay, TreeMap::new, Collectors.averagingInt(Berth::metres)));
  }

  /**
   * Finds the berths that have been kept for too long.
   *
   * @param limit how long a berth may stay
   * @return the number of each that was entered before that, sorted
   */
  public SortedSet<String> overdueBerths(Period limit) {
    LocalDate oldestBerth = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueBerths = new TreeSet<>();
    for (Berth berth : entries.values()) {
      if (berth.since().isBefore(oldestBerth)) {
        overdueBerths.add(berth.number());
      }
    }
    return overdueBerths;
  }

  /**
   * Takes a berth apart from the others when something is wrong with it.
   *
   * @param number which berth
   * @param quay the quay that is set aside for such cases
   * @return the berth as it was before, or nothing when nobody knows it
   */
  @ChangesBerth("set aside")
  public Optional<Berth> isolate(String number, String quay) {
    Berth before = entries.get(number);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(number, new Berth(number, quay, before.metres(), before.since()));
    return Optional.of(before);
  }

  /** Prints the sheet that hangs at the door: one line for each quay, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByQuay().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Berths of the harbour
        %s
        Together: %d metres of quay
        """.formatted(lines, totalMetres());
  }

  /** Returns one page of the berths, counted from zero; a page behind the last berth is empty. */
  public List<Berth> pageOfBerths(int number, int berthsPerPage) {
    long firstBerth = (long) number * berthsPerPage;
    return entries.values().stream().skip(firstBerth).limit(berthsPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.metres() > limit, Collectors.counting()));
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Berth> newest() {
    return entries.values().stream().max(Comparator.comparing(Berth::since));
  }

  public boolean hasRoomFor(String quay, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.quay().equals(quay))
        .mapToInt(Berth::metres)
        .sum();
    return used + more <= capacity;
  }
}
