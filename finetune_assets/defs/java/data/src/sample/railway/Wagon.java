/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.railway;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One wagon as the railway keeps it: where it is and how many tonnes it counts.
 *
 * @param code what tells it from every other wagon
 * @param track where it is to be found
 * @param tonnes how many tonnes it counts, never below zero
 * @param since the day on which it was entered
 */
public record Wagon(String code, String track, int tonnes, LocalDate since)
    implements Comparable<Wagon> {

  /** Refuses a wagon that nobody could find again. */
  public Wagon {
    Objects.requireNonNull(since, "since");
    if (code == null || code.isBlank()) {
      throw new IllegalArgumentException("a wagon needs a code");
    }
    if (tonnes < 0) {
      throw new IllegalArgumentException("tonnes must not be negative: " + tonnes);
    }
  }

  /**
   * Tells how long this wagon has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysTrackHoldsWagon(LocalDate today) {
    LocalDate wagonEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(wagonEntered, today));
  }

  /** Returns a copy of this wagon that stands in another track; everything else is kept. */
  public Wagon movedTo(String otherTrack) {
    return new Wagon(code, Objects.requireNonNull(otherTrack), tonnes, since);
  }

  /**
   * Splits off some of the tonnes into a wagon of its own.
   *
   * @param tonnesTaken how many tonnes go
   * @param codeOfNew the code of the new wagon
   * @return the new wagon in the same track; this one is unchanged, as records are
   * @throws IllegalArgumentException when the wagon has not as many tonnes
   */
  public Wagon splitWagon(int tonnesTaken, String codeOfNew) {
    if (tonnesTaken > tonnes) {
      throw new IllegalArgumentException("only " + tonnes + " tonnes to take from");
    }
    return new Wagon(codeOfNew, track, tonnesTaken, since);
  }

  /** Writes the wagon on one line, the code first, for the printed list of the railway. */
  public String toLine() {
    return String.join(";", code, track, Integer.toString(tonnes), since.toString());
  }

  @Override
  public int compareTo(Wagon other) {
    return code.compareTo(other.code);
  }
}
