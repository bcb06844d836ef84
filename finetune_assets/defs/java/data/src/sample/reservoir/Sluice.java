/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.reservoir;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One sluice as the reservoir keeps it: where it is and how many turns of the wheel it counts.
 *
 * @param gauge what tells it from every other sluice
 * @param dam where it is to be found
 * @param turns how many turns of the wheel it counts, never below zero
 * @param since the day on which it was entered
 */
public record Sluice(String gauge, String dam, int turns, LocalDate since)
    implements Comparable<Sluice> {

  /** Refuses a sluice that nobody could find again. */
  public Sluice {
    Objects.requireNonNull(since, "since");
    if (gauge == null || gauge.isBlank()) {
      throw new IllegalArgumentException("a sluice needs a gauge");
    }
    if (turns < 0) {
      throw new IllegalArgumentException("turns must not be negative: " + turns);
    }
  }

  /**
   * Tells how long this sluice has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysDamHoldsSluice(LocalDate today) {
    LocalDate sluiceEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(sluiceEntered, today));
  }

  @Override
  public int compareTo(Sluice other) {
    return gauge.compareTo(other.gauge);
  }
}
