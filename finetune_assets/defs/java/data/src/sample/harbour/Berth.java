/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.harbour;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One berth as the harbour keeps it: where it is and how many metres of quay it counts.
 *
 * @param number what tells it from every other berth
 * @param quay where it is to be found
 * @param metres how many metres of quay it counts, never below zero
 * @param since the day on which it was entered
 */
public record Berth(String number, String quay, int metres, LocalDate since)
    implements Comparable<Berth> {

  /** Refuses a berth that nobody could find again. */
  public Berth {
    Objects.requireNonNull(since, "since");
    if (number == null || number.isBlank()) {
      throw new IllegalArgumentException("a berth needs a number");
    }
    if (metres < 0) {
      throw new IllegalArgumentException("metres must not be negative: " + metres);
    }
  }

  /**
   * Tells how long this berth has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysQuayHoldsBerth(LocalDate today) {
    LocalDate berthEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(berthEntered, today));
  }

  /** Returns a copy of this berth that stands in another quay; everything else is kept. */
  public Berth movedTo(String otherQuay) {
    return new Berth(number, Objects.requireNonNull(otherQuay), metres, since);
  }

  /**
   * Splits off some of the metres of quay into a berth of its own.
   *
   * @param metresTaken how many metres of quay go
   * @param numberOfNew the number of the new berth
   * @return the new berth in the same quay; this one is unchanged, as records are
   * @throws IllegalArgumentException when the berth has not as many metres of quay
   */
  public Berth splitBerth(int metresTaken, String numberOfNew) {
    if (metresTaken > metres) {
      throw new IllegalArgumentException("only " + metres + " metres of quay to take from");
    }
    return new Berth(numberOfNew, quay, metresTaken, since);
  }

  /** Writes the berth on one line, the number first, for the printed list of the harbour. */
  public String toLine() {
    return String.join(";", number, quay, Integer.toString(metres), since.toString());
  }

  @Override
  public int compareTo(Berth other) {
    return number.compareTo(other.number);
  }
}
