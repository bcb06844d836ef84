/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.bakery;

import java.time.Instant;

/** What can happen to a batch; all kinds are listed, so that a switch over them needs no default. */
public sealed interface BatchEvent permits BatchEvent.Mixed, BatchEvent.Baked, BatchEvent.Discarded {

  /** Returns the label of the batch that the event is about. */
  String label();

  /** Returns the moment at which the bakery noted the event. */
  Instant at();

  /**
   * Puts what happened to a batch into words for the journal of the bakery: mixed with its recipe, baked with its shift, discarded with its fault.
   *
   * @param event what happened to the batch
   * @return a line with the label, without the time
   */
  static String describe(BatchEvent event) {
    return switch (event) {
      case Mixed(String id, Instant at, String recipe) -> id + " mixed: " + recipe;
      case Baked(String id, Instant at, String shift) -> id + " baked: " + shift;
      case Discarded(String id, Instant at, String fault) -> id + " discarded: " + fault;
    };
  }

  /** Notes that a batch was mixed, and the recipe. */
  record Mixed(String label, Instant at, String recipe) implements BatchEvent {}

  /** Notes that a batch was baked, and the shift. */
  record Baked(String label, Instant at, String shift) implements BatchEvent {}

  /** Notes that a batch was discarded, and the fault. */
  record Discarded(String label, Instant at, String fault) implements BatchEvent {}
}
