/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.vineyard;

import java.time.Instant;

/** What can happen to a cask; all kinds are listed, so that a switch over them needs no default. */
public sealed interface CaskEvent permits CaskEvent.Filled, CaskEvent.Racked, CaskEvent.Tasted {

  /** Returns the mark of the cask that the event is about. */
  String mark();

  /** Returns the moment at which the vineyard noted the event. */
  Instant at();

  /**
   * Puts what happened to a cask into words for the journal of the vineyard: filled with its vintage, racked with its cellarer, tasted with its verdict.
   *
   * @param event what happened to the cask
   * @return a line with the mark, without the time
   */
  static String describe(CaskEvent event) {
    return switch (event) {
      case Filled(String id, Instant at, String vintage) -> id + " filled: " + vintage;
      case Racked(String id, Instant at, String cellarer) -> id + " racked: " + cellarer;
      case Tasted(String id, Instant at, String verdict) -> id + " tasted: " + verdict;
    };
  }

  /** Notes that a cask was filled, and the vintage. */
  record Filled(String mark, Instant at, String vintage) implements CaskEvent {}

  /** Notes that a cask was racked, and the cellarer. */
  record Racked(String mark, Instant at, String cellarer) implements CaskEvent {}

  /** Notes that a cask was tasted, and the verdict. */
  record Tasted(String mark, Instant at, String verdict) implements CaskEvent {}
}
