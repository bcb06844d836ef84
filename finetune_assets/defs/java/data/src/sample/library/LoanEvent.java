/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.library;

import java.time.Instant;

/** What can happen to a loan; all kinds are listed, so that a switch over them needs no default. */
public sealed interface LoanEvent permits LoanEvent.Borrowed, LoanEvent.Extended, LoanEvent.Returned {

  /** Returns the barcode of the loan that the event is about. */
  String barcode();

  /** Returns the moment at which the library noted the event. */
  Instant at();

  /**
   * Puts what happened to a loan into words for the journal of the library: borrowed with its borrower, extended with its reason, returned with its condition.
   *
   * @param event what happened to the loan
   * @return a line with the barcode, without the time
   */
  static String describe(LoanEvent event) {
    return switch (event) {
      case Borrowed(String id, Instant at, String borrower) -> id + " borrowed: " + borrower;
      case Extended(String id, Instant at, String reason) -> id + " extended: " + reason;
      case Returned(String id, Instant at, String condition) -> id + " returned: " + condition;
    };
  }

  /** Notes that a loan was borrowed, and the borrower. */
  record Borrowed(String barcode, Instant at, String borrower) implements LoanEvent {}

  /** Notes that a loan was extended, and the reason. */
  record Extended(String barcode, Instant at, String reason) implements LoanEvent {}

  /** Notes that a loan was returned, and the condition. */
  record Returned(String barcode, Instant at, String condition) implements LoanEvent {}
}
