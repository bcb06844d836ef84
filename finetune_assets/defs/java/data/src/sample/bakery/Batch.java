/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.bakery;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One batch as the bakery keeps it: where it is and how many loaves it counts.
 *
 * @param label what tells it from every other batch
 * @param oven where it is to be found
 * @param loaves how many loaves it counts, never below zero
 * @param since the day on which it was entered
 */
public record Batch(String label, String oven, int loaves, LocalDate since)
    implements Comparable<Batch> {

  /** Refuses a batch that nobody could find again. */
  public Batch {
    Objects.requireNonNull(since, "since");
    if (label == null || label.isBlank()) {
      throw new IllegalArgumentException("a batch needs a label");
    }
    if (loaves < 0) {
      throw new IllegalArgumentException("loaves must not be negative: " + loaves);
    }
  }

  /**
   * Tells how long this batch has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysOvenHoldsBatch(LocalDate today) {
    LocalDate batchEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(batchEntered, today));
  }

  /** Returns a copy of this batch that stands in another oven; everything else is kept. */
  public Batch movedTo(String otherOven) {
    return new Batch(label, Objects.requireNonNull(otherOven), loaves, since);
  }

  /**
   * Splits off some of the loaves into a batch of its own.
   *
   * @param loavesTaken how many loaves go
   * @param labelOfNew the label of the new batch
   * @return the new batch in the same oven; this one is unchanged, as records are
   * @throws IllegalArgumentException when the batch has not as many loaves
   */
  public Batch splitBatch(int loavesTaken, String labelOfNew) {
    if (loavesTaken > loaves) {
      throw new IllegalArgumentException("only " + loaves + " loaves to take from");
    }
    return new Batch(labelOfNew, oven, loavesTaken, since);
  }

  @Override
  public int compareTo(Batch other) {
    return label.compareTo(other.label);
  }
}
