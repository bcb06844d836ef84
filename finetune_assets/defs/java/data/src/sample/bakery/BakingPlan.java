/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.bakery;

import java.time.Clock;
import java.time.LocalDate;
import java.time.Period;
import java.util.Comparator;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * Keeps the batches of the bakery in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the bakery has one desk.
 */
public class BakingPlan {

  private final Map<String, Batch> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public BakingPlan(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a batch.
   *
   * @param batch what is to be kept
   * @throws IllegalStateException when its label is already taken
   */
  @ChangesBatch("a batch came in")
  public void register(Batch batch) {
    if (entries.putIfAbsent(batch.label(), batch) != null) {
      throw new IllegalStateException("label is taken: " + batch.label());
    }
  }

  /** Adds up the loaves of all batches in the books. */
  public int totalLoaves() {
    return entries.values().stream().mapToInt(Batch::loaves).sum();
  }

  /** Works out how many loaves a batch has on average, for each oven. */
  public Map<String, Double> averageByOven() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Batch::oven, TreeMap::new, Collectors.averagingInt(Batch::loaves)));
  }

  /**
   * Finds the batches that have been kept for too long.
   *
   * @param limit how long a batch may stay
   * @return the label of each that was entered before that, sorted
   */
  public SortedSet<String> overdueBatches(Period limit) {
    LocalDate oldestBatch = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueBatches = new TreeSet<>();
    for (Batch batch : entries.values()) {
      if (batch.since().isBefore(oldestBatch)) {
        overdueBatches.add(batch.label());
      }
    }
    return overdueBatches;
  }

  /**
   * Takes a batch apart from the others when something is wrong with it.
   *
   * @param label which batch
   * @param oven the oven that is set aside for such cases
   * @return the batch as it was before, or nothing when nobody knows it
   */
  @ChangesBatch("set aside")
  public Optional<Batch> isolate(String label, String oven) {
    Batch before = entries.get(label);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(label, new Batch(label, oven, before.loaves(), before.since()));
    return Optional.of(before);
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Batch> newest() {
    return entries.values().stream().max(Comparator.comparing(Batch::since));
  }
}
