/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.orchestra;

import java.time.Instant;

/** What can happen to a part; all kinds are listed, so that a switch over them needs no default. */
public sealed interface PartEvent permits PartEvent.Copied, PartEvent.Marked, PartEvent.Performed {

  /** Returns the desk of the part that the event is about. */
  String desk();

  /** Returns the moment at which the orchestra noted the event. */
  Instant at();

  /**
   * Puts what happened to a part into words for the journal of the orchestra: copied with its copyist, marked with its player, performed with its hall.
   *
   * @param event what happened to the part
   * @return a line with the desk, without the time
   */
  static String describe(PartEvent event) {
    return switch (event) {
      case Copied(String id, Instant at, String copyist) -> id + " copied: " + copyist;
      case Marked(String id, Instant at, String player) -> id + " marked: " + player;
      case Performed(String id, Instant at, String hall) -> id + " performed: " + hall;
    };
  }

  /** Notes that a part was copied, and the copyist. */
  record Copied(String desk, Instant at, String copyist) implements PartEvent {}

  /** Notes that a part was marked, and the player. */
  record Marked(String desk, Instant at, String player) implements PartEvent {}

  /** Notes that a part was performed, and the hall. */
  record Performed(String desk, Instant at, String hall) implements PartEvent {}
}
