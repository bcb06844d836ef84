/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.reservoir;

import java.time.Instant;

/** What can happen to a sluice; all kinds are listed, so that a switch over them needs no default. */
public sealed interface SluiceEvent permits SluiceEvent.Opened, SluiceEvent.Greased, SluiceEvent.Jammed {

  /** Returns the gauge of the sluice that the event is about. */
  String gauge();

  /** Returns the moment at which the reservoir noted the event. */
  Instant at();

  /**
   * Puts what happened to a sluice into words for the journal of the reservoir: opened with its warden, greased with its lubricant, jammed with its debris.
   *
   * @param event what happened to the sluice
   * @return a line with the gauge, without the time
   */
  static String describe(SluiceEvent event) {
    return switch (event) {
      case Opened(String id, Instant at, String warden) -> id + " opened: " + warden;
      case Greased(String id, Instant at, String lubricant) -> id + " greased: " + lubricant;
      case Jammed(String id, Instant at, String debris) -> id + " jammed: " + debris;
    };
  }

  /** Notes that a sluice was opened, and the warden. */
  record Opened(String gauge, Instant at, String warden) implements SluiceEvent {}

  /** Notes that a sluice was greased, and the lubricant. */
  record Greased(String gauge, Instant at, String lubricant) implements SluiceEvent {}

  /** Notes that a sluice was jammed, and the debris. */
  record Jammed(String gauge, Instant at, String debris) implements SluiceEvent {}
}
