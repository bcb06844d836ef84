/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.observatory;

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
 * Keeps the stations of the observatory in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the observatory has one desk.
 */
public class ObservationNetwork {

  private final Map<String, Station> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public ObservationNetwork(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a station.
   *
   * @param station what is to be kept
   * @throws IllegalStateException when its callSign is already taken
   */
  @ChangesStation("a station came in")
  public void register(Station station) {
    if (entries.putIfAbsent(station.callSign(), station) != null) {
      throw new IllegalStateException("callSign is taken: " + station.callSign());
    }
  }

  /** Adds up the readings of all stations in the books. */
  public int totalReadings() {
    return entries.values().stream().mapToInt(Station::readings).sum();
  }

  /**
   * Lists what stands in one region.
   *
   * @param region the region to look at, in the spelling of the books
   * @return its stations, those with the most readings first
   */
  public List<Station> inRegion(String region) {
    return entries.values().stream()
        .filter(entry -> entry.region().equals(region))
        .sorted(Comparator.comparingInt(Station::readings).reversed())
        .toList();
  }

  /** Works out how many readings a station has on average, for each region. */
  public Map<String, Double> averageByRegion() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Station::region, TreeMap::new, Collectors.averagingInt(Station::readings)));
  }

  /**
   * Finds the stations that have been kept for too long.
   *
   * @param limit how long a station may stay
   * @return the callSign of each that was entered before that, sorted
   */
  public SortedSet<String> overdueStations(Period limit) {
    LocalDate oldestStation = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueStations = new TreeSet<>();
    for (Station station : entries.values()) {
      if (station.since().isBefore(oldestStation)) {
        overdueStations.add(station.callSign());
      }
    }
    return overdueStations;
  }

  /**
   * Takes a station apart from the others when something is wrong with it.
   *
   * @param callSign which station
   * @param region the region that is set aside for such cases
   * @return the station as it was before, or nothing when nobody knows it
   */
  @ChangesStation("set aside")
  public Optional<Station> isolate(String callSign, String region) {
    Station before = entries.get(callSign);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(callSign, new Station(callSign, region, before.readings(), before.since()));
    return Optional.of(before);
  }

  /**
   * Hands out readings until a demand is met, smallest stations first, and strikes out what is used up.
   *
   * @param demand how many readings are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<Station> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(Station::readings));
    int open = demand;
    for (Station entry : byAmount) {
      if (open < entry.readings()) {
        break;
      }
      open -= entry.readings();
      entries.remove(entry.callSign());
    }
    return open;
  }

  /** Prints the sheet that hangs at the door: one line for each region, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByRegion().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Stations of the observatory
        %s
        Together: %d readings
        """.formatted(lines, totalReadings());
  }

  /** Returns one page of the stations, counted from zero; a page behind the last station is empty. */
  public List<Station> pageOfStations(int number, int stationsPerPage) {
    long firstStation = (long) number * stationsPerPage;
    return entries.values().stream().skip(firstStation).limit(stationsPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.readings() > limit, Collectors.counting()));
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Station> newest() {
    return entries.values().stream().max(Comparator.comparing(Station::since));
  }
}
