/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.observatory;

import java.time.Instant;

/** What can happen to a station; all kinds are listed, so that a switch over them needs no default. */
public sealed interface StationEvent permits StationEvent.Installed, StationEvent.Calibrated, StationEvent.Silenced {

  /** Returns the callSign of the station that the event is about. */
  String callSign();

  /** Returns the moment at which the observatory noted the event. */
  Instant at();

  /**
   * Puts what happened to a station into words for the journal of the observatory: installed with its engineer, calibrated with its instrument, silenced with its cause.
   *
   * @param event what happened to the station
   * @return a line with the callSign, without the time
   */
  static String describe(StationEvent event) {
    return switch (event) {
      case Installed(String id, Instant at, String engineer) -> id + " installed: " + engineer;
      case Calibrated(String id, Instant at, String instrument) -> id + " calibrated: " + instrument;
      case Silenced(String id, Instant at, String cause) -> id + " silenced: " + cause;
    };
  }

  /** Notes that a station was installed, and the engineer. */
  record Installed(String callSign, Instant at, String engineer) implements StationEvent {}

  /** Notes that a station was calibrated, and the instrument. */
  record Calibrated(String callSign, Instant at, String instrument) implements StationEvent {}

  /** Notes that a station was silenced, and the cause. */
  record Silenced(String callSign, Instant at, String cause) implements StationEvent {}
}
