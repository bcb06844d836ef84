/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.archive;

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
 * Keeps the charters of the archive in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the archive has one desk.
 */
public class ReadingRoom {

  private final Map<String, Charter> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public ReadingRoom(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a charter.
   *
   * @param charter what is to be kept
   * @throws IllegalStateException when its shelfmark is already taken
   */
  @ChangesCharter("a charter came in")
  public void register(Charter charter) {
    if (entries.putIfAbsent(charter.shelfmark(), charter) != null) {
      throw new IllegalStateException("shelfmark is taken: " + charter.shelfmark());
    }
  }

  /** Adds up the seals of all charters in the books. */
  public int totalSeals() {
    return entries.values().stream().mapToInt(Charter::seals).sum();
  }

  /**
   * Lists what stands in one cabinet.
   *
   * @param cabinet the cabinet to look at, in the spelling of the books
   * @return its charters, those with the most seals first
   */
  public List<Charter> inCabinet(String cabinet) {
    return entries.values().stream()
        .filter(entry -> entry.cabinet().equals(cabinet))
        .sorted(Comparator.comparingInt(Charter::seals).reversed())
        .toList();
  }

  /** Works out how many seals a charter has on average, for each cabinet. */
  public Map<String, Double> averageByCabinet() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Charter::cabinet, TreeMap::new, Collectors.averagingInt(Charter::seals)));
  }

  /**
   * Finds the charters that have been kept for too long.
   *
   * @param limit how long a charter may stay
   * @return the shelfmark of each that was entered before that, sorted
   */
  public SortedSet<String> overdueCharters(Period limit) {
    LocalDate oldestCharter = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueCharters = new TreeSet<>();
    for (Charter charter : entries.values()) {
      if (charter.since().isBefore(oldestCharter)) {
        overdueCharters.add(charter.shelfmark());
      }
    }
    return overdueCharters;
  }

  /**
   * Takes a charter apart from the others when something is wrong with it.
   *
   * @param shelfmark which charter
   * @param cabinet the cabinet that is set aside for such cases
   * @return the charter as it was before, or nothing when nobody knows it
   */
  @ChangesCharter("set aside")
  public Optional<Charter> isolate(String shelfmark, String cabinet) {
    Charter before = entries.get(shelfmark);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(shelfmark, new Charter(shelfmark, cabinet, before.seals(), before.since()));
    return Optional.of(before);
  }

  /**
   * Hands out seals until a demand is met, smallest charters first, and strikes out what is used up.
   *
   * @param demand how many seals are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<Charter> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(Charter::seals));
    int open = demand;
    for (Charter entry : byAmount) {
      if (open < entry.seals()) {
        break;
      }
      open -= entry.seals();
      entries.remove(entry.shelfmark());
    }
    return open;
  }

  /** Returns one page of the charters, counted from zero; a page behind the last charter is empty. */
  public List<Charter> pageOfCharters(int number, int chartersPerPage) {
    long firstCharter = (long) number * chartersPerPage;
    return entries.values().stream().skip(firstCharter).limit(chartersPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.seals() > limit, Collectors.counting()));
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Charter> newest() {
    return entries.values().stream().max(Comparator.comparing(Charter::since));
  }

  public boolean hasRoomFor(String cabinet, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.cabinet().equals(cabinet))
        .mapToInt(Charter::seals)
        .sum();
    return used + more <= capacity;
  }
}
