/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.apiary;

import java.time.Instant;

/** What can happen to a hive; all kinds are listed, so that a switch over them needs no default. */
public sealed interface HiveEvent permits HiveEvent.Settled, HiveEvent.Treated, HiveEvent.Emptied {

  /** Returns the tag of the hive that the event is about. */
  String tag();

  /** Returns the moment at which the apiary noted the event. */
  Instant at();

  /**
   * Puts what happened to a hive into words for the journal of the apiary: settled with its queen, treated with its remedy, emptied with its beekeeper.
   *
   * @param event what happened to the hive
   * @return a line with the tag, without the time
   */
  static String describe(HiveEvent event) {
    return switch (event) {
      case Settled(String id, Instant at, String queen) -> id + " settled: " + queen;
      case Treated(String id, Instant at, String remedy) -> id + " treated: " + remedy;
      case Emptied(String id, Instant at, String beekeeper) -> id + " emptied: " + beekeeper;
    };
  }

  /** Notes that a hive was settled, and the queen. */
  record Settled(String tag, Instant at, String queen) implements HiveEvent {}

  /** Notes that a hive was treated, and the remedy. */
  record Treated(String tag, Instant at, String remedy) implements HiveEvent {}

  /** Notes that a hive was emptied, and the beekeeper. */
  record Emptied(String tag, Instant at, String beekeeper) implements HiveEvent {}
}
