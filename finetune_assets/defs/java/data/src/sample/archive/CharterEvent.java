/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.archive;

import java.time.Instant;

/** What can happen to a charter; all kinds are listed, so that a switch over them needs no default. */
public sealed interface CharterEvent permits CharterEvent.Transcribed, CharterEvent.Photographed, CharterEvent.Lent {

  /** Returns the shelfmark of the charter that the event is about. */
  String shelfmark();

  /** Returns the moment at which the archive noted the event. */
  Instant at();

  /**
   * Puts what happened to a charter into words for the journal of the archive: transcribed with its scholar, photographed with its camera, lent with its institution.
   *
   * @param event what happened to the charter
   * @return a line with the shelfmark, without the time
   */
  static String describe(CharterEvent event) {
    return switch (event) {
      case Transcribed(String id, Instant at, String scholar) -> id + " transcribed: " + scholar;
      case Photographed(String id, Instant at, String camera) -> id + " photographed: " + camera;
      case Lent(String id, Instant at, String institution) -> id + " lent: " + institution;
    };
  }

  /** Notes that a charter was transcribed, and the scholar. */
  record Transcribed(String shelfmark, Instant at, String scholar) implements CharterEvent {}

  /** Notes that a charter was photographed, and the camera. */
  record Photographed(String shelfmark, Instant at, String camera) implements CharterEvent {}

  /** Notes that a charter was lent, and the institution. */
  record Lent(String shelfmark, Instant at, String institution) implements CharterEvent {}
}
