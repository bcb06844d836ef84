/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.harbour;

import java.time.Instant;

/** What can happen to a berth; all kinds are listed, so that a switch over them needs no default. */
public sealed interface BerthEvent permits BerthEvent.Docked, BerthEvent.Moved, BerthEvent.Departed {

  /** Returns the number of the berth that the event is about. */
  String number();

  /** Returns the moment at which the harbour noted the event. */
  Instant at();

  /**
   * Puts what happened to a berth into words for the journal of the harbour: docked with its vessel, moved with its tug, departed with its destination.
   *
   * @param event what happened to the berth
   * @return a line with the number, without the time
   */
  static String describe(BerthEvent event) {
    return switch (event) {
      case Docked(String id, Instant at, String vessel) -> id + " docked: " + vessel;
      case Moved(String id, Instant at, String tug) -> id + " moved: " + tug;
      case Departed(String id, Instant at, String destination) -> id + " departed: " + destination;
    };
  }

  /** Notes that a berth was docked, and the vessel. */
  record Docked(String number, Instant at, String vessel) implements BerthEvent {}

  /** Notes that a berth was moved, and the tug. */
  record Moved(String number, Instant at, String tug) implements BerthEvent {}

  /** Notes that a berth was departed, and the destination. */
  record Departed(String number, Instant at, String destination) implements BerthEvent {}
}
