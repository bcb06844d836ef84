/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.garden;

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
 * Keeps the beds of the garden in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the garden has one desk.
 */
public class PlantingBook {

  private final Map<String, Bed> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public PlantingBook(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a bed.
   *
   * @param bed what is to be kept
   * @throws IllegalStateException when its name is already taken
   */
  @ChangesBed("a bed came in")
  public void register(Bed bed) {
    if (entries.putIfAbsent(bed.name(), bed) != null) {
      throw new IllegalStateException("name is taken: " + bed.name());
    }
  }

  /** Adds up the seedlings of all beds in the books. */
  public int totalSeedlings() {
    return entries.values().stream().mapToInt(Bed::seedlings).sum();
  }

  /**
   * Lists what stands in one terrace.
   *
   * @param terrace the terrace to look at, in the spelling of the books
   * @return its beds, those with the most seedlings first
   */
  public List<Bed> inTerrace(String terrace) {
    return entries.values().stream()
        .filter(entry -> entry.terrace().equals(terrace))
        .sorted(Comparator.comparingInt(Bed::seedlings).reversed())
        .toList();
  }

  /** Works out how many seedlings a bed has on average, for each terrace. */
  public Map<String, Double> averageByTerrace() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Bed::terrace, TreeMap::new, Collectors.averagingInt(Bed::seedlings)));
  }

  /**
   * Finds the beds that have been kept for too long.
   *
   * @param limit how long a bed may stay
   * @return the name of each that was entered before that, sorted
   */
  public SortedSet<String> overdueBeds(Period limit) {
    LocalDate oldestBed = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueBeds = new TreeSet<>();
    for (Bed bed : entries.values()) {
      if (bed.since().isBefore(oldestBed)) {
        overdueBeds.add(bed.name());
      }
    }
    return overdueBeds;
  }

  /**
   * Takes a bed apart from the others when something is wrong with it.
   *
   * @param name which bed
   * @param terrace the terrace that is set aside for such cases
   * @return the bed as it was before, or nothing when nobody knows it
   */
  @ChangesBed("set aside")
  public Optional<Bed> isolate(String name, String terrace) {
    Bed before = entries.get(name);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(name, new Bed(name, terrace, before.seedlings(), before.since()));
    return Optional.of(before);
  }

  /**
   * Hands out seedlings until a demand is met, smallest beds first, and strikes out what is used up.
   *
   * @param demand how many seedlings are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<Bed> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(Bed::seedlings));
    int open = demand;
    for (Bed entry : byAmount) {
      if (open < entry.seedlings()) {
        break;
      }
      open -= entry.seedlings();
      entries.remove(entry.name());
    }
    return open;
  }

  /** Prints the sheet that hangs at the door: one line for each terrace, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByTerrace().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Beds of the garden
        %s
        Together: %d seedlings
        """.formatted(lines, totalSeedlings());
  }

  /** Returns one page of the beds, counted from zero; a page behind the last bed is empty. */
  public List<Bed> pageOfBeds(int number, int bedsPerPage) {
    long firstBed = (long) number * bedsPerPage;
    return entries.values().stream().skip(firstBed).limit(bedsPerPage).toList();
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Bed> newest() {
    return entries.values().stream().max(Comparator.comparing(Bed::since));
  }
}
