/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.garden;

import java.time.Instant;

/** What can happen to a bed; all kinds are listed, so that a switch over them needs no default. */
public sealed interface BedEvent permits BedEvent.Sown, BedEvent.Watered, BedEvent.Harvested {

  /** Returns the name of the bed that the event is about. */
  String name();

  /** Returns the moment at which the garden noted the event. */
  Instant at();

  /**
   * Puts what happened to a bed into words for the journal of the garden: sown with its variety, watered with its gardener, harvested with its basket.
   *
   * @param event what happened to the bed
   * @return a line with the name, without the time
   */
  static String describe(BedEvent event) {
    return switch (event) {
      case Sown(String id, Instant at, String variety) -> id + " sown: " + variety;
      case Watered(String id, Instant at, String gardener) -> id + " watered: " + gardener;
      case Harvested(String id, Instant at, String basket) -> id + " harvested: " + basket;
    };
  }

  /** Notes that a bed was sown, and the variety. */
  record Sown(String name, Instant at, String variety) implements BedEvent {}

  /** Notes that a bed was watered, and the gardener. */
  record Watered(String name, Instant at, String gardener) implements BedEvent {}

  /** Notes that a bed was harvested, and the basket. */
  record Harvested(String name, Instant at, String basket) implements BedEvent {}
}
