/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.museum;

import java.time.Instant;

/** What can happen to a exhibit; all kinds are listed, so that a switch over them needs no default. */
public sealed interface ExhibitEvent permits ExhibitEvent.Acquired, ExhibitEvent.Restored, ExhibitEvent.Shown {

  /** Returns the inventory of the exhibit that the event is about. */
  String inventory();

  /** Returns the moment at which the museum noted the event. */
  Instant at();

  /**
   * Puts what happened to a exhibit into words for the journal of the museum: acquired with its donor, restored with its conservator, shown with its exhibition.
   *
   * @param event what happened to the exhibit
   * @return a line with the inventory, without the time
   */
  static String describe(ExhibitEvent event) {
    return switch (event) {
      case Acquired(String id, Instant at, String donor) -> id + " acquired: " + donor;
      case Restored(String id, Instant at, String conservator) -> id + " restored: " + conservator;
      case Shown(String id, Instant at, String exhibition) -> id + " shown: " + exhibition;
    };
  }

  /** Notes that a exhibit was acquired, and the donor. */
  record Acquired(String inventory, Instant at, String donor) implements ExhibitEvent {}

  /** Notes that a exhibit was restored, and the conservator. */
  record Restored(String inventory, Instant at, String conservator) implements ExhibitEvent {}

  /** Notes that a exhibit was shown, and the exhibition. */
  record Shown(String inventory, Instant at, String exhibition) implements ExhibitEvent {}
}
