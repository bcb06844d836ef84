/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.orchestra;

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
 * Keeps the parts of the orchestra in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the orchestra has one desk.
 */
public class ScoreCabinet {

  private final Map<String, Part> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public ScoreCabinet(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a part.
   *
   * @param part what is to be kept
   * @throws IllegalStateException when its desk is already taken
   */
  @ChangesPart("a part came in")
  public void register(Part part) {
    if (entries.putIfAbsent(part.desk(), part) != null) {
      throw new IllegalStateException("desk is taken: " + part.desk());
    }
  }

  /** Adds up the bars of all parts in the books. */
  public int totalBars() {
    return entries.values().stream().mapToInt(Part::bars).sum();
  }

  /**
   * Lists what stands in one section.
   *
   * @param section the section to look at, in the spelling of the books
   * @return its parts, those with the most bars first
   */
  public List<Part> inSection(String section) {
    return entries.values().stream()
        .filter(entry -> entry.section().equals(section))
        .sorted(Comparator.comparingInt(Part::bars).reversed())
        .toList();
  }

  /** Works out how many bars a part has on average, for each section. */
  public Map<String, Double> averageBySection() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Part::section, TreeMap::new, Collectors.averagingInt(Part::bars)));
  }

  /**
   * Finds the parts that have been kept for too long.
   *
   * @param limit how long a part may stay
   * @return the desk of each that was entered before that, sorted
   */
  public SortedSet<String> overdueParts(Period limit) {
    LocalDate oldestPart = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueParts = new TreeSet<>();
    for (Part part : entries.values()) {
      if (part.since().isBefore(oldestPart)) {
        overdueParts.add(part.desk());
      }
    }
    return overdueParts;
  }

  /**
   * Takes a part apart from the others when something is wrong with it.
   *
   * @param desk which part
   * @param section the section that is set aside for such cases
   * @return the part as it was before, or nothing when nobody knows it
   */
  @ChangesPart("set aside")
  public Optional<Part> isolate(String desk, String section) {
    Part before = entries.get(desk);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(desk, new Part(desk, section, before.bars(), before.since()));
    return Optional.of(before);
  }

  /**
   * Hands out bars until a demand is met, smallest parts first, and strikes out what is used up.
   *
   * @param demand how many bars are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<Part> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(Part::bars));
    int open = demand;
    for (Part entry : byAmount) {
      if (open < entry.bars()) {
        break;
      }
      open -= entry.bars();
      entries.remove(entry.desk());
    }
    return open;
  }

  /** Prints the sheet that hangs at the door: one line for each section, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageBySection().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Parts of the orchestra
        %s
        Together: %d bars
        """.formatted(lines, totalBars());
  }

  /** Returns one page of the parts, counted from zero; a page behind the last part is empty. */
  public List<Part> pageOfParts(int number, int partsPerPage) {
    long firstPart = (long) number * partsPerPage;
    return entries.values().stream().skip(firstPart).limit(partsPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.bars() > limit, Collectors.counting()));
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Part> newest() {
    return entries.values().stream().max(Comparator.comparing(Part::since));
  }

  public boolean hasRoomFor(String section, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.section().equals(section))
        .mapToInt(Part::bars)
        .sum();
    return used + more <= capacity;
  }
}
