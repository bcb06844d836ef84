/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.ropeworks;

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
 * Keeps the cables of the ropeworks in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the ropeworks has one desk.
 */
public class SpinningWalk {

  private final Map<String, Cable> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public SpinningWalk(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a cable.
   *
   * @param cable what is to be kept
   * @throws IllegalStateException when its serial is already taken
   */
  @ChangesCable("a cable came in")
  public void register(Cable cable) {
    if (entries.putIfAbsent(cable.serial(), cable) != null) {
      throw new IllegalStateException("serial is taken: " + cable.serial());
    }
  }

  /** Adds up the strands of all cables in the books. */
  public int totalStrands() {
    return entries.values().stream().mapToInt(Cable::strands).sum();
  }

  /**
   * Lists what stands in one drum.
   *
   * @param drum the drum to look at, in the spelling of the books
   * @return its cables, those with the most strands first
   */
  public List<Cable> inDrum(String drum) {
    return entries.values().stream()
        .filter(entry -> entry.drum().equals(drum))
        .sorted(Comparator.comparingInt(Cable::strands).reversed())
        .toList();
  }

  /** Works out how many strands a cable has on average, for each drum. */
  public Map<String, Double> averageByDrum() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Cable::drum, TreeMap::new, Collectors.averagingInt(Cable::strands)));
  }

  /**
   * Finds the cables that have been kept for too long.
   *
   * @param limit how long a cable may stay
   * @return the serial of each that was entered before that, sorted
   */
  public SortedSet<String> overdueCables(Period limit) {
    LocalDate oldestCable = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueCables = new TreeSet<>();
    for (Cable cable : entries.values()) {
      if (cable.since().isBefore(oldestCable)) {
        overdueCables.add(cable.serial());
      }
    }
    return overdueCables;
  }

  /**
   * Takes a cable apart from the others when something is wrong with it.
   *
   * @param serial which cable
   * @param drum the drum that is set aside for such cases
   * @return the cable as it was before, or nothing when nobody knows it
   */
  @ChangesCable("set aside")
  public Optional<Cable> isolate(String serial, String drum) {
    Cable before = entries.get(serial);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(serial, new Cable(serial, drum, before.strands(), before.since()));
    return Optional.of(before);
  }

  /**
   * Hands out strands until a demand is met, smallest cables first, and strikes out what is used up.
   *
   * @param demand how many strands are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<Cable> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(Cable::strands));
    int open = demand;
    for (Cable entry : byAmount) {
      if (open < entry.strands()) {
        break;
      }
      open -= entry.strands();
      entries.remove(entry.serial());
    }
    return open;
  }

  /** Prints the sheet that hangs at the door: one line for each drum, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByDrum().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Cables of the ropeworks
        %s
        Together: %d strands
        """.formatted(lines, totalStrands());
  }

  /** Returns one page of the cables, counted from zero; a page behind the last cable is empty. */
  public List<Cable> pageOfCables(int number, int cablesPerPage) {
    long firstCable = (long) number * cablesPerPage;
    return entries.values().stream().skip(firstCable).limit(cablesPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.strands() > limit, Collectors.counting()));
  }

  public boolean hasRoomFor(String drum, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.drum().equals(drum))
        .mapToInt(Cable::strands)
        .sum();
    return used + more <= capacity;
  }
}
