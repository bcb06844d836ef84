/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.theatre;

import java.time.Instant;

/** What can happen to a costume; all kinds are listed, so that a switch over them needs no default. */
public sealed interface CostumeEvent permits CostumeEvent.Sewn, CostumeEvent.Fitted, CostumeEvent.Mended {

  /** Returns the label of the costume that the event is about. */
  String label();

  /** Returns the moment at which the theatre noted the event. */
  Instant at();

  /**
   * Puts what happened to a costume into words for the journal of the theatre: sewn with its tailor, fitted with its actor, mended with its tear.
   *
   * @param event what happened to the costume
   * @return a line with the label, without the time
   */
  static String describe(CostumeEvent event) {
    return switch (event) {
      case Sewn(String id, Instant at, String tailor) -> id + " sewn: " + tailor;
      case Fitted(String id, Instant at, String actor) -> id + " fitted: " + actor;
      case Mended(String id, Instant at, String tear) -> id + " mended: " + tear;
    };
  }

  /** Notes that a costume was sewn, and the tailor. */
  record Sewn(String label, Instant at, String tailor) implements CostumeEvent {}

  /** Notes that a costume was fitted, and the actor. */
  record Fitted(String label, Instant at, String actor) implements CostumeEvent {}

  /** Notes that a costume was mended, and the tear. */
  record Mended(String label, Instant at, String tear) implements CostumeEvent {}
}
