/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.airfield;

import java.time.Instant;

/** What can happen to a glider; all kinds are listed, so that a switch over them needs no default. */
public sealed interface GliderEvent permits GliderEvent.Launched, GliderEvent.Landed, GliderEvent.Grounded {

  /** Returns the registration of the glider that the event is about. */
  String registration();

  /** Returns the moment at which the airfield noted the event. */
  Instant at();

  /**
   * Puts what happened to a glider into words for the journal of the airfield: launched with its pilot, landed with its runway, grounded with its defect.
   *
   * @param event what happened to the glider
   * @return a line with the registration, without the time
   */
  static String describe(GliderEvent event) {
    return switch (event) {
      case Launched(String id, Instant at, String pilot) -> id + " launched: " + pilot;
      case Landed(String id, Instant at, String runway) -> id + " landed: " + runway;
      case Grounded(String id, Instant at, String defect) -> id + " grounded: " + defect;
    };
  }

  /** Notes that a glider was launched, and the pilot. */
  record Launched(String registration, Instant at, String pilot) implements GliderEvent {}

  /** Notes that a glider was landed, and the runway. */
  record Landed(String registration, Instant at, String runway) implements GliderEvent {}

  /** Notes that a glider was grounded, and the defect. */
  record Grounded(String registration, Instant at, String defect) implements GliderEvent {}
}
