/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.archive;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One charter as the archive keeps it: where it is and how many seals it counts.
 *
 * @param shelfmark what tells it from every other charter
 * @param cabinet where it is to be found
 * @param seals how many seals it counts, never below zero
 * @param since the day on which it was entered
 */
public record Charter(String shelfmark, String cabinet, int seals, LocalDate since)
    implements Comparable<Charter> {

  /** Refuses a charter that nobody could find again. */
  public Charter {
    Objects.requireNonNull(since, "since");
    if (shelfmark == null || shelfmark.isBlank()) {
      throw new IllegalArgumentException("a charter needs a shelfmark");
    }
    if (seals < 0) {
      throw new IllegalArgumentException("seals must not be negative: " + seals);
    }
  }

  /**
   * Tells how long this charter has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysCabinetHoldsCharter(LocalDate today) {
    LocalDate charterEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(charterEntered, today));
  }

  /**
   * Splits off some of the seals into a charter of its own.
   *
   * @param sealsTaken how many seals go
   * @param shelfmarkOfNew the shelfmark of the new charter
   * @return the new charter in the same cabinet; this one is unchanged, as records are
   * @throws IllegalArgumentException when the charter has not as many seals
   */
  public Charter splitCharter(int sealsTaken, String shelfmarkOfNew) {
    if (sealsTaken > seals) {
      throw new IllegalArgumentException("only " + seals + " seals to take from");
    }
    return new Charter(shelfmarkOfNew, cabinet, sealsTaken, since);
  }

  @Override
  public int compareTo(Charter other) {
    return shelfmark.compareTo(other.shelfmark);
  }
}
