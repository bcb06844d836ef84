/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.pharmacy;

import java.time.Instant;

/** What can happen to a remedy; all kinds are listed, so that a switch over them needs no default. */
public sealed interface RemedyEvent permits RemedyEvent.Mixed, RemedyEvent.Checked, RemedyEvent.Withdrawn {

  /** Returns the formula of the remedy that the event is about. */
  String formula();

  /** Returns the moment at which the pharmacy noted the event. */
  Instant at();

  /**
   * Puts what happened to a remedy into words for the journal of the pharmacy: mixed with its chemist, checked with its witness, withdrawn with its finding.
   *
   * @param event what happened to the remedy
   * @return a line with the formula, without the time
   */
  static String describe(RemedyEvent event) {
    return switch (event) {
      case Mixed(String id, Instant at, String chemist) -> id + " mixed: " + chemist;
      case Checked(String id, Instant at, String witness) -> id + " checked: " + witness;
      case Withdrawn(String id, Instant at, String finding) -> id + " withdrawn: " + finding;
    };
  }

  /** Notes that a remedy was mixed, and the chemist. */
  record Mixed(String formula, Instant at, String chemist) implements RemedyEvent {}

  /** Notes that a remedy was checked, and the witness. */
  record Checked(String formula, Instant at, String witness) implements RemedyEvent {}

  /** Notes that a remedy was withdrawn, and the finding. */
  record Withdrawn(String formula, Instant at, String finding) implements RemedyEvent {}
}
