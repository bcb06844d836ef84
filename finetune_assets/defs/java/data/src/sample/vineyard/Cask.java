/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.vineyard;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One cask as the vineyard keeps it: where it is and how many litres it counts.
 *
 * @param mark what tells it from every other cask
 * @param vault where it is to be found
 * @param litres how many litres it counts, never below zero
 * @param since the day on which it was entered
 */
public record Cask(String mark, String vault, int litres, LocalDate since)
    implements Comparable<Cask> {

  /** Refuses a cask that nobody could find again. */
  public Cask {
    Objects.requireNonNull(since, "since");
    if (mark == null || mark.isBlank()) {
      throw new IllegalArgumentException("a cask needs a mark");
    }
    if (litres < 0) {
      throw new IllegalArgumentException("litres must not be negative: " + litres);
    }
  }

  /**
   * Tells how long this cask has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysVaultHoldsCask(LocalDate today) {
    LocalDate caskEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(caskEntered, today));
  }

  /** Returns a copy of this cask that stands in another vault; everything else is kept. */
  public Cask movedTo(String otherVault) {
    return new Cask(mark, Objects.requireNonNull(otherVault), litres, since);
  }

  /**
   * Splits off some of the litres into a cask of its own.
   *
   * @param litresTaken how many litres go
   * @param markOfNew the mark of the new cask
   * @return the new cask in the same vault; this one is unchanged, as records are
   * @throws IllegalArgumentException when the cask has not as many litres
   */
  public Cask splitCask(int litresTaken, String markOfNew) {
    if (litresTaken > litres) {
      throw new IllegalArgumentException("only " + litres + " litres to take from");
    }
    return new Cask(markOfNew, vault, litresTaken, since);
  }

  /** Writes the cask on one line, the mark first, for the printed list of the vineyard. */
  public String toLine() {
    return String.join(";", mark, vault, Integer.toString(litres), since.toString());
  }

  @Override
  public int compareTo(Cask other) {
    return mark.compareTo(other.mark);
  }
}
