/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.archive;

import java.util.Optional;

/** The stages that a charter goes through in the archive, in their usual order. */
public enum CharterState {
  /** The charter is unread. */
  UNREAD(true),
  /** The charter is transcribed. */
  TRANSCRIBED(true),
  /** The charter is copied. */
  COPIED(false),
  /** The charter is sealed. */
  SEALED(false);

  private final boolean open;

  CharterState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a charter in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a charter that usually follows; the whole way is unread, transcribed, copied, sealed.
   *
   * @return the next stage of the charter, or nothing once it is sealed
   */
  public Optional<CharterState> next() {
    CharterState[] charterStates = values();
    int following = ordinal() + 1;
    return following < charterStates.length ? Optional.of(charterStates[following]) : Optional.empty();
  }
}
