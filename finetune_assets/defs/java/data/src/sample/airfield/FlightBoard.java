/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.airfield;

import java.time.Clock;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Keeps the gliders of the airfield in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the airfield has one desk.
 */
public class FlightBoard {

  private final Map<String, Glider> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public FlightBoard(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a glider.
   *
   * @param glider what is to be kept
   * @throws IllegalStateException when its registration is already taken
   */
  @ChangesGlider("a glider came in")
  public void register(Glider glider) {
    if (entries.putIfAbsent(glider.registration(), glider) != null) {
      throw new IllegalStateException("registration is taken: " + glider.registration());
    }
  }

  /** Adds up the hours aloft of all gliders in the books. */
  public int totalHours() {
    return entries.values().stream().mapToInt(Glider::hours).sum();
  }

  /**
   * Lists what stands in one hangar.
   *
   * @param hangar the hangar to look at, in the spelling of the books
   * @return its gliders, those with the most hours aloft first
   */
  public List<Glider> inHangar(String hangar) {
    return entries.values().stream()
        .filter(entry -> entry.hangar().equals(hangar))
        .sorted(Comparator.comparingInt(Glider::hours).reversed())
        .toList();
  }

  /** Works out how many hours aloft a glider has on average, for each hangar. */
  public Map<String, Double> averageByHangar() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Glider::hangar, TreeMap::new, Collectors.averagingInt(Glider::hours)));
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.hours() > limit, Collectors.counting()));
  }

  public boolean hasRoomFor(String hangar, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.hangar().equals(hangar))
        .mapToInt(Glider::hours)
        .sum();
    return used + more <= capacity;
  }
}
