/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.orchestra;

import java.util.Optional;

/** The stages that a part goes through in the orchestra, in their usual order. */
public enum PartState {
  /** The part is copied. */
  COPIED(true),
  /** The part is bowed. */
  BOWED(true),
  /** The part is rehearsed. */
  REHEARSED(true),
  /** The part is performed. */
  PERFORMED(false);

  private final boolean open;

  PartState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a part in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a part that usually follows; the whole way is copied, bowed, rehearsed, performed.
   *
   * @return the next stage of the part, or nothing once it is performed
   */
  public Optional<PartState> next() {
    PartState[] partStates = values();
    int following = ordinal() + 1;
    return following < partStates.length ? Optional.of(partStates[following]) : Optional.empty();
  }
}
