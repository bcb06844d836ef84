/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.apiary;

import java.time.Clock;
import java.time.LocalDate;
import java.time.Period;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * Keeps the hives of the apiary in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the apiary has one desk.
 */
public class BeeYard {

  private final Map<String, Hive> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public BeeYard(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a hive.
   *
   * @param hive what is to be kept
   * @throws IllegalStateException when its tag is already taken
   */
  @ChangesHive("a hive came in")
  public void register(Hive hive) {
    if (entries.putIfAbsent(hive.tag(), hive) != null) {
      throw new IllegalStateException("tag is taken: " + hive.tag());
    }
  }

  /** Adds up the frames of comb of all hives in the books. */
  public int totalFrames() {
    return entries.values().stream().mapToInt(Hive::frames).sum();
  }

  /**
   * Lists what stands in one meadow.
   *
   * @param meadow the meadow to look at, in the spelling of the books
   * @return its hives, those with the most frames of comb first
   */
  public List<Hive> inMeadow(String meadow) {
    return entries.values().stream()
        .filter(entry -> entry.meadow().equals(meadow))
        .sorted(Comparator.comparingInt(Hive::frames).reversed())
        .toList();
  }

  /** Works out how many frames of comb a hive has on average, for each meadow. */
  public Map<String, Double> averageByMeadow() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Hive::meadow, TreeMap::new, Collectors.averagingInt(Hive::frames)));
  }

  /**
   * Finds the hives that have been kept for too long.
   *
   * @param limit how long a hive may stay
   * @return the tag of each that was entered before that, sorted
   */
  public SortedSet<String> overdueHives(Period limit) {
    LocalDate oldestHive = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueHives = new TreeSet<>();
    for (Hive hive : entries.values()) {
      if (hive.since().isBefore(oldestHive)) {
        overdueHives.add(hive.tag());
      }
    }
    return overdueHives;
  }

  /**
   * Hands out frames of comb until a demand is met, smallest hives first, and strikes out what is used up.
   *
   * @param demand how many frames of comb are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<Hive> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(Hive::frames));
    int open = demand;
    for (Hive entry : byAmount) {
      if (open < entry.frames()) {
        break;
      }
      open -= entry.frames();
      entries.remove(entry.tag());
    }
    return open;
  }

  /** Returns one page of the hives, counted from zero; a page behind the last hive is empty. */
  public List<Hive> pageOfHives(int number, int hivesPerPage) {
    long firstHive = (long) number * hivesPerPage;
    return entries.values().stream().skip(firstHive).limit(hivesPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.frames() > limit, Collectors.counting()));
  }

  public boolean hasRoomFor(String meadow, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.meadow().equals(meadow))
        .mapToInt(Hive::frames)
        .sum();
    return used + more <= capacity;
  }
}
