/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.railway;

import java.time.Instant;

/** What can happen to a wagon; all kinds are listed, so that a switch over them needs no default. */
public sealed interface WagonEvent permits WagonEvent.Loaded, WagonEvent.Coupled, WagonEvent.Inspected {

  /** Returns the code of the wagon that the event is about. */
  String code();

  /** Returns the moment at which the railway noted the event. */
  Instant at();

  /**
   * Puts what happened to a wagon into words for the journal of the railway: loaded with its cargo, coupled with its train, inspected with its inspector.
   *
   * @param event what happened to the wagon
   * @return a line with the code, without the time
   */
  static String describe(WagonEvent event) {
    return switch (event) {
      case Loaded(String id, Instant at, String cargo) -> id + " loaded: " + cargo;
      case Coupled(String id, Instant at, String train) -> id + " coupled: " + train;
      case Inspected(String id, Instant at, String inspector) -> id + " inspected: " + inspector;
    };
  }

  /** Notes that a wagon was loaded, and the cargo. */
  record Loaded(String code, Instant at, String cargo) implements WagonEvent {}

  /** Notes that a wagon was coupled, and the train. */
  record Coupled(String code, Instant at, String train) implements WagonEvent {}

  /** Notes that a wagon was inspected, and the inspector. */
  record Inspected(String code, Instant at, String inspector) implements WagonEvent {}
}
