/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.quarry;

import java.time.Instant;

/** What can happen to a block; all kinds are listed, so that a switch over them needs no default. */
public sealed interface BlockEvent permits BlockEvent.Cleaved, BlockEvent.Dressed, BlockEvent.Cracked {

  /** Returns the chisel of the block that the event is about. */
  String chisel();

  /** Returns the moment at which the quarry noted the event. */
  Instant at();

  /**
   * Puts what happened to a block into words for the journal of the quarry: cleaved with its mason, dressed with its pattern, cracked with its flaw.
   *
   * @param event what happened to the block
   * @return a line with the chisel, without the time
   */
  static String describe(BlockEvent event) {
    return switch (event) {
      case Cleaved(String id, Instant at, String mason) -> id + " cleaved: " + mason;
      case Dressed(String id, Instant at, String pattern) -> id + " dressed: " + pattern;
      case Cracked(String id, Instant at, String flaw) -> id + " cracked: " + flaw;
    };
  }

  /** Notes that a block was cleaved, and the mason. */
  record Cleaved(String chisel, Instant at, String mason) implements BlockEvent {}

  /** Notes that a block was dressed, and the pattern. */
  record Dressed(String chisel, Instant at, String pattern) implements BlockEvent {}

  /** Notes that a block was cracked, and the flaw. */
  record Cracked(String chisel, Instant at, String flaw) implements BlockEvent {}
}
