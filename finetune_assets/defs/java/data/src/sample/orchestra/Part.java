/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.orchestra;

import java.time.LocalDate;
import java.util.Objects;

/**
 * One part as the orchestra keeps it: where it is and how many bars it counts.
 *
 * @param desk what tells it from every other part
 * @param section where it is to be found
 * @param bars how many bars it counts, never below zero
 * @param since the day on which it was entered
 */
public record Part(String desk, String section, int bars, LocalDate since)
    implements Comparable<Part> {

  /** Refuses a part that nobody could find again. */
  public Part {
    Objects.requireNonNull(since, "since");
    if (desk == null || desk.isBlank()) {
      throw new IllegalArgumentException("a part needs a desk");
    }
    if (bars < 0) {
      throw new IllegalArgumentException("bars must not be negative: " + bars);
    }
  }

  /**
   * Splits off some of the bars into a part of its own.
   *
   * @param barsTaken how many bars go
   * @param deskOfNew the desk of the new part
   * @return the new part in the same section; this one is unchanged, as records are
   * @throws IllegalArgumentException when the part has not as many bars
   */
  public Part splitPart(int barsTaken, String deskOfNew) {
    if (barsTaken > bars) {
      throw new IllegalArgumentException("only " + bars + " bars to take from");
    }
    return new Part(deskOfNew, section, barsTaken, since);
  }

  /** Writes the part on one line, the desk first, for the printed list of the orchestra. */
  public String toLine() {
    return String.join(";", desk, section, Integer.toString(bars), since.toString());
  }

  @Override
  public int compareTo(Part other) {
    return desk.compareTo(other.desk);
  }
}
