/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.printshop;

import java.time.Instant;

/** What can happen to a plate; all kinds are listed, so that a switch over them needs no default. */
public sealed interface PlateEvent permits PlateEvent.Engraved, PlateEvent.Inked, PlateEvent.Scratched {

  /** Returns the signature of the plate that the event is about. */
  String signature();

  /** Returns the moment at which the printshop noted the event. */
  Instant at();

  /**
   * Puts what happened to a plate into words for the journal of the printshop: engraved with its artist, inked with its colour, scratched with its mishap.
   *
   * @param event what happened to the plate
   * @return a line with the signature, without the time
   */
  static String describe(PlateEvent event) {
    return switch (event) {
      case Engraved(String id, Instant at, String artist) -> id + " engraved: " + artist;
      case Inked(String id, Instant at, String colour) -> id + " inked: " + colour;
      case Scratched(String id, Instant at, String mishap) -> id + " scratched: " + mishap;
    };
  }

  /** Notes that a plate was engraved, and the artist. */
  record Engraved(String signature, Instant at, String artist) implements PlateEvent {}

  /** Notes that a plate was inked, and the colour. */
  record Inked(String signature, Instant at, String colour) implements PlateEvent {}

  /** Notes that a plate was scratched, and the mishap. */
  record Scratched(String signature, Instant at, String mishap) implements PlateEvent {}
}
