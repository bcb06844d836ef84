/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.printshop;

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
 * Keeps the plates of the printshop in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the printshop has one desk.
 */
public class PressRoom {

  private final Map<String, Plate> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public PressRoom(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a plate.
   *
   * @param plate what is to be kept
   * @throws IllegalStateException when its signature is already taken
   */
  @ChangesPlate("a plate came in")
  public void register(Plate plate) {
    if (entries.putIfAbsent(plate.signature(), plate) != null) {
      throw new IllegalStateException("signature is taken: " + plate.signature());
    }
  }

  /** Adds up the sheets of all plates in the books. */
  public int totalSheets() {
    return entries.values().stream().mapToInt(Plate::sheets).sum();
  }

  /**
   * Lists what stands in one rack.
   *
   * @param rack the rack to look at, in the spelling of the books
   * @return its plates, those with the most sheets first
   */
  public List<Plate> inRack(String rack) {
    return entries.values().stream()
        .filter(entry -> entry.rack().equals(rack))
        .sorted(Comparator.comparingInt(Plate::sheets).reversed())
        .toList();
  }

  /** Works out how many sheets a plate has on average, for each rack. */
  public Map<String, Double> averageByRack() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Plate::rack, TreeMap::new, Collectors.averagingInt(Plate::sheets)));
  }

  /**
   * Finds the plates that have been kept for too long.
   *
   * @param limit how long a plate may stay
   * @return the signature of each that was entered before that, sorted
   */
  public SortedSet<String> overduePlates(Period limit) {
    LocalDate oldestPlate = LocalDate.now(clock).minus(limit);
    SortedSet<String> overduePlates = new TreeSet<>();
    for (Plate plate : entries.values()) {
      if (plate.since().isBefore(oldestPlate)) {
        overduePlates.add(plate.signature());
      }
    }
    return overduePlates;
  }

  /**
   * Takes a plate apart from the others when something is wrong with it.
   *
   * @param signature which plate
   * @param rack the rack that is set aside for such cases
   * @return the plate as it was before, or nothing when nobody knows it
   */
  @ChangesPlate("set aside")
  public Optional<Plate> isolate(String signature, String rack) {
    Plate before = entries.get(signature);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(signature, new Plate(signature, rack, before.sheets(), before.since()));
    return Optional.of(before);
  }

  /**
   * Hands out sheets until a demand is met, smallest plates first, and strikes out what is used up.
   *
   * @param demand how many sheets are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<Plate> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(Plate::sheets));
    int open = demand;
    for (Plate entry : byAmount) {
      if (open < entry.sheets()) {
        break;
      }
      open -= entry.sheets();
      entries.remove(entry.signature());
    }
    return open;
  }

  /** Prints the sheet that hangs at the door: one line for each rack, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByRack().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Plates of the printshop
        %s
        Together: %d sheets
        """.formatted(lines, totalSheets());
  }

  /** Returns one page of the plates, counted from zero; a page behind the last plate is empty. */
  public List<Plate> pageOfPlates(int number, int platesPerPage) {
    long firstPlate = (long) number * platesPerPage;
    return entries.values().stream().skip(firstPlate).limit(platesPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.sheets() > limit, Collectors.counting()));
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Plate> newest() {
    return entries.values().stream().max(Comparator.comparing(Plate::since));
  }

  public boolean hasRoomFor(String rack, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.rack().equals(rack))
        .mapToInt(Plate::sheets)
        .sum();
    return used + more <= capacity;
  }
}
