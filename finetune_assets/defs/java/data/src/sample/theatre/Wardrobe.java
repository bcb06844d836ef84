/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.theatre;

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
 * Keeps the costumes of the theatre in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the theatre has one desk.
 */
public class Wardrobe {

  private final Map<String, Costume> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public Wardrobe(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a costume.
   *
   * @param costume what is to be kept
   * @throws IllegalStateException when its label is already taken
   */
  @ChangesCostume("a costume came in")
  public void register(Costume costume) {
    if (entries.putIfAbsent(costume.label(), costume) != null) {
      throw new IllegalStateException("label is taken: " + costume.label());
    }
  }

  /** Adds up the fittings of all costumes in the books. */
  public int totalFittings() {
    return entries.values().stream().mapToInt(Costume::fittings).sum();
  }

  /** Works out how many fittings a costume has on average, for each rail. */
  public Map<String, Double> averageByRail() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Costume::rail, TreeMap::new, Collectors.averagingInt(Costume::fittings)));
  }

  /**
   * Finds the costumes that have been kept for too long.
   *
   * @param limit how long a costume may stay
   * @return the label of each that was entered before that, sorted
   */
  public SortedSet<String> overdueCostumes(Period limit) {
    LocalDate oldestCostume = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueCostumes = new TreeSet<>();
    for (Costume costume : entries.values()) {
      if (costume.since().isBefore(oldestCostume)) {
        overdueCostumes.add(costume.label());
      }
    }
    return overdueCostumes;
  }

  /**
   * Takes a costume apart from the others when something is wrong with it.
   *
   * @param label which costume
   * @param rail the rail that is set aside for such cases
   * @return the costume as it was before, or nothing when nobody knows it
   */
  @ChangesCostume("set aside")
  public Optional<Costume> isolate(String label, String rail) {
    Costume before = entries.get(label);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(label, new Costume(label, rail, before.fittings(), before.since()));
    return Optional.of(before);
  }

  /** Prints the sheet that hangs at the door: one line for each rail, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByRail().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Costumes of the theatre
        %s
        Together: %d fittings
        """.formatted(lines, totalFittings());
  }

  /** Returns one page of the costumes, counted from zero; a page behind the last costume is empty. */
  public List<Costume> pageOfCostumes(int number, int costumesPerPage) {
    long firstCostume = (long) number * costumesPerPage;
    return entries.values().stream().skip(firstCostume).limit(costumesPerPage).toList();
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Costume> newest() {
    return entries.values().stream().max(Comparator.comparing(Costume::since));
  }

  public boolean hasRoomFor(String rail, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.rail().equals(rail))
        .mapToInt(Costume::fittings)
        .sum();
    return used + more <= capacity;
  }
}
