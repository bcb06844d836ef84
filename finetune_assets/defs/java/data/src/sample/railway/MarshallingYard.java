/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.railway;

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
 * Keeps the wagons of the railway in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the railway has one desk.
 */
public class MarshallingYard {

  private final Map<String, Wagon> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public MarshallingYard(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a wagon.
   *
   * @param wagon what is to be kept
   * @throws IllegalStateException when its code is already taken
   */
  @ChangesWagon("a wagon came in")
  public void register(Wagon wagon) {
    if (entries.putIfAbsent(wagon.code(), wagon) != null) {
      throw new IllegalStateException("code is taken: " + wagon.code());
    }
  }

  /** Adds up the tonnes of all wagons in the books. */
  public int totalTonnes() {
    return entries.values().stream().mapToInt(Wagon::tonnes).sum();
  }

  /**
   * Lists what stands in one track.
   *
   * @param track the track to look at, in the spelling of the books
   * @return its wagons, those with the most tonnes first
   */
  public List<Wagon> inTrack(String track) {
    return entries.values().stream()
        .filter(entry -> entry.track().equals(track))
        .sorted(Comparator.comparingInt(Wagon::tonnes).reversed())
        .toList();
  }

  /** Works out how many tonnes a wagon has on average, for each track. */
  public Map<String, Double> averageByTrack() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Wagon::track, TreeMap::new, Collectors.averagingInt(Wagon::tonnes)));
  }

  /**
   * Finds the wagons that have been kept for too long.
   *
   * @param limit how long a wagon may stay
   * @return the code of each that was entered before that, sorted
   */
  public SortedSet<String> overdueWagons(Period limit) {
    LocalDate oldestWagon = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueWagons = new TreeSet<>();
    for (Wagon wagon : entries.values()) {
      if (wagon.since().isBefore(oldestWagon)) {
        overdueWagons.add(wagon.code());
      }
    }
    return overdueWagons;
  }

  /**
   * Takes a wagon apart from the others when something is wrong with it.
   *
   * @param code which wagon
   * @param track the track that is set aside for such cases
   * @return the wagon as it was before, or nothing when nobody knows it
   */
  @ChangesWagon("set aside")
  public Optional<Wagon> isolate(String code, String track) {
    Wagon before = entries.get(code);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(code, new Wagon(code, track, before.tonnes(), before.since()));
    return Optional.of(before);
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Wagon> newest() {
    return entries.values().stream().max(Comparator.comparing(Wagon::since));
  }

  public boolean hasRoomFor(String track, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.track().equals(track))
        .mapToInt(Wagon::tonnes)
        .sum();
    return used + more <= capacity;
  }
}
