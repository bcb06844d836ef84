/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.ropeworks;

import java.time.LocalDate;
import java.util.Objects;

/**
 * One cable as the ropeworks keeps it: where it is and how many strands it counts.
 *
 * @param serial what tells it from every other cable
 * @param drum where it is to be found
 * @param strands how many strands it counts, never below zero
 * @param since the day on which it was entered
 */
public record Cable(String serial, String drum, int strands, LocalDate since)
    implements Comparable<Cable> {

  /** Refuses a cable that nobody could find again. */
  public Cable {
    Objects.requireNonNull(since, "since");
    if (serial == null || serial.isBlank()) {
      throw new IllegalArgumentException("a cable needs a serial");
    }
    if (strands < 0) {
      throw new IllegalArgumentException("strands must not be negative: " + strands);
    }
  }

  /** Returns a copy of this cable that stands in another drum; everything else is kept. */
  public Cable movedTo(String otherDrum) {
    return new Cable(serial, Objects.requireNonNull(otherDrum), strands, since);
  }

  @Override
  public int compareTo(Cable other) {
    return serial.compareTo(other.serial);
  }
}
