/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.ropeworks;

import java.time.Instant;

/** What can happen to a cable; all kinds are listed, so that a switch over them needs no default. */
public sealed interface CableEvent permits CableEvent.Spun, CableEvent.Tested, CableEvent.Spliced {

  /** Returns the serial of the cable that the event is about. */
  String serial();

  /** Returns the moment at which the ropeworks noted the event. */
  Instant at();

  /**
   * Puts what happened to a cable into words for the journal of the ropeworks: spun with its spinner, tested with its load, spliced with its rigger.
   *
   * @param event what happened to the cable
   * @return a line with the serial, without the time
   */
  static String describe(CableEvent event) {
    return switch (event) {
      case Spun(String id, Instant at, String spinner) -> id + " spun: " + spinner;
      case Tested(String id, Instant at, String load) -> id + " tested: " + load;
      case Spliced(String id, Instant at, String rigger) -> id + " spliced: " + rigger;
    };
  }

  /** Notes that a cable was spun, and the spinner. */
  record Spun(String serial, Instant at, String spinner) implements CableEvent {}

  /** Notes that a cable was tested, and the load. */
  record Tested(String serial, Instant at, String load) implements CableEvent {}

  /** Notes that a cable was spliced, and the rigger. */
  record Spliced(String serial, Instant at, String rigger) implements CableEvent {}
}
