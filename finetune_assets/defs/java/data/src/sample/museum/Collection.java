/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.museum;

import java.time.Clock;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Keeps the exhibits of the museum in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the museum has one desk.
 */
public class Collection {

  private final Map<String, Exhibit> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public Collection(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a exhibit.
   *
   * @param exhibit what is to be kept
   * @throws IllegalStateException when its inventory is already taken
   */
  @ChangesExhibit("a exhibit came in")
  public void register(Exhibit exhibit) {
    if (entries.putIfAbsent(exhibit.inventory(), exhibit) != null) {
      throw new IllegalStateException("inventory is taken: " + exhibit.inventory());
    }
  }

  /** Adds up the visitors a day of all exhibits in the books. */
  public int totalVisitors() {
    return entries.values().stream().mapToInt(Exhibit::visitors).sum();
  }

  /**
   * Lists what stands in one gallery.
   *
   * @param gallery the gallery to look at, in the spelling of the books
   * @return its exhibits, those with the most visitors a day first
   */
  public List<Exhibit> inGallery(String gallery) {
    return entries.values().stream()
        .filter(entry -> entry.gallery().equals(gallery))
        .sorted(Comparator.comparingInt(Exhibit::visitors).reversed())
        .toList();
  }

  /** Works out how many visitors a day a exhibit has on average, for each gallery. */
  public Map<String, Double> averageByGallery() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Exhibit::gallery, TreeMap::new, Collectors.averagingInt(Exhibit::visitors)));
  }

  /** Prints the sheet that hangs at the door: one line for each gallery, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageByGallery().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        Exhibits of the museum
        %s
        Together: %d visitors a day
        """.formatted(lines, totalVisitors());
  }

  /** Returns one page of the exhibits, counted from zero; a page behind the last exhibit is empty. */
  public List<Exhibit> pageOfExhibits(int number, int exhibitsPerPage) {
    long firstExhibit = (long) number * exhibitsPerPage;
    return entries.values().stream().skip(firstExhibit).limit(exhibitsPerPage).toList();
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Exhibit> newest() {
    return entries.values().stream().max(Comparator.comparing(Exhibit::since));
  }
}
