/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.pharmacy;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One remedy as the pharmacy keeps it: where it is and how many doses it counts.
 *
 * @param formula what tells it from every other remedy
 * @param drawer where it is to be found
 * @param doses how many doses it counts, never below zero
 * @param since the day on which it was entered
 */
public record Remedy(String formula, String drawer, int doses, LocalDate since)
    implements Comparable<Remedy> {

  /** Refuses a remedy that nobody could find again. */
  public Remedy {
    Objects.requireNonNull(since, "since");
    if (formula == null || formula.isBlank()) {
      throw new IllegalArgumentException("a remedy needs a formula");
    }
    if (doses < 0) {
      throw new IllegalArgumentException("doses must not be negative: " + doses);
    }
  }

  /**
   * Tells how long this remedy has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysDrawerHoldsRemedy(LocalDate today) {
    LocalDate remedyEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(remedyEntered, today));
  }

  /** Returns a copy of this remedy that stands in another drawer; everything else is kept. */
  public Remedy movedTo(String otherDrawer) {
    return new Remedy(formula, Objects.requireNonNull(otherDrawer), doses, since);
  }

  /**
   * Splits off some of the doses into a remedy of its own.
   *
   * @param dosesTaken how many doses go
   * @param formulaOfNew the formula of the new remedy
   * @return the new remedy in the same drawer; this one is unchanged, as records are
   * @throws IllegalArgumentException when the remedy has not as many doses
   */
  public Remedy splitRemedy(int dosesTaken, String formulaOfNew) {
    if (dosesTaken > doses) {
      throw new IllegalArgumentException("only " + doses + " doses to take from");
    }
    return new Remedy(formulaOfNew, drawer, dosesTaken, since);
  }

  /** Writes the remedy on one line, the formula first, for the printed list of the pharmacy. */
  public String toLine() {
    return String.join(";", formula, drawer, Integer.toString(doses), since.toString());
  }

  @Override
  public int compareTo(Remedy other) {
    return formula.compareTo(other.formula);
  }
}
