/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.library;

import java.time.LocalDate;
import java.util.Objects;

/**
 * One loan as the library keeps it: where it is and how many pages it counts.
 *
 * @param barcode what tells it from every other loan
 * @param branch where it is to be found
 * @param pages how many pages it counts, never below zero
 * @param since the day on which it was entered
 */
public record Loan(String barcode, String branch, int pages, LocalDate since)
    implements Comparable<Loan> {

  /** Refuses a loan that nobody could find again. */
  public Loan {
    Objects.requireNonNull(since, "since");
    if (barcode == null || barcode.isBlank()) {
      throw new IllegalArgumentException("a loan needs a barcode");
    }
    if (pages < 0) {
      throw new IllegalArgumentException("pages must not be negative: " + pages);
    }
  }

  /** Returns a copy of this loan that stands in another branch; everything else is kept. */
  public Loan movedTo(String otherBranch) {
    return new Loan(barcode, Objects.requireNonNull(otherBranch), pages, since);
  }

  /**
   * Splits off some of the pages into a loan of its own.
   *
   * @param pagesTaken how many pages go
   * @param barcodeOfNew the barcode of the new loan
   * @return the new loan in the same branch; this one is unchanged, as records are
   * @throws IllegalArgumentException when the loan has not as many pages
   */
  public Loan splitLoan(int pagesTaken, String barcodeOfNew) {
    if (pagesTaken > pages) {
      throw new IllegalArgumentException("only " + pages + " pages to take from");
    }
    return new Loan(barcodeOfNew, branch, pagesTaken, since);
  }

  /** Writes the loan on one line, the barcode first, for the printed list of the library. */
  public String toLine() {
    return String.join(";", barcode, branch, Integer.toString(pages), since.toString());
  }

  @Override
  public int compareTo(Loan other) {
    return barcode.compareTo(other.barcode);
  }
}
