/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.printshop;

import java.time.LocalDate;
import java.util.Objects;

/**
 * One plate as the printshop keeps it: where it is and how many sheets it counts.
 *
 * @param signature what tells it from every other plate
 * @param rack where it is to be found
 * @param sheets how many sheets it counts, never below zero
 * @param since the day on which it was entered
 */
public record Plate(String signature, String rack, int sheets, LocalDate since)
    implements Comparable<Plate> {

  /** Refuses a plate that nobody could find again. */
  public Plate {
    Objects.requireNonNull(since, "since");
    if (signature == null || signature.isBlank()) {
      throw new IllegalArgumentException("a plate needs a signature");
    }
    if (sheets < 0) {
      throw new IllegalArgumentException("sheets must not be negative: " + sheets);
    }
  }

  /**
   * Splits off some of the sheets into a plate of its own.
   *
   * @param sheetsTaken how many sheets go
   * @param signatureOfNew the signature of the new plate
   * @return the new plate in the same rack; this one is unchanged, as records are
   * @throws IllegalArgumentException when the plate has not as many sheets
   */
  public Plate splitPlate(int sheetsTaken, String signatureOfNew) {
    if (sheetsTaken > sheets) {
      throw new IllegalArgumentException("only " + sheets + " sheets to take from");
    }
    return new Plate(signatureOfNew, rack, sheetsTaken, since);
  }

  @Override
  public int compareTo(Plate other) {
    return signature.compareTo(other.signature);
  }
}
