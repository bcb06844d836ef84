/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.garden;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One bed as the garden keeps it: where it is and how many seedlings it counts.
 *
 * @param name what tells it from every other bed
 * @param terrace where it is to be found
 * @param seedlings how many seedlings it counts, never below zero
 * @param since the day on which it was entered
 */
public record Bed(String name, String terrace, int seedlings, LocalDate since)
    implements Comparable<Bed> {

  /** Refuses a bed that nobody could find again. */
  public Bed {
    Objects.requireNonNull(since, "since");
    if (name == null || name.isBlank()) {
      throw new IllegalArgumentException("a bed needs a name");
    }
    if (seedlings < 0) {
      throw new IllegalArgumentException("seedlings must not be negative: " + seedlings);
    }
  }

  /**
   * Tells how long this bed has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysTerraceHoldsBed(LocalDate today) {
    LocalDate bedEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(bedEntered, today));
  }

  /** Writes the bed on one line, the name first, for the printed list of the garden. */
  public String toLine() {
    return String.join(";", name, terrace, Integer.toString(seedlings), since.toString());
  }

  @Override
  public int compareTo(Bed other) {
    return name.compareTo(other.name);
  }
}
