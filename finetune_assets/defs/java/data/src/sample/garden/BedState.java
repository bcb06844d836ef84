/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.garden;

import java.util.Optional;

/** The stages that a bed goes through in the garden, in their usual order. */
public enum BedState {
  /** The bed is dug. */
  DUG(true),
  /** The bed is sown. */
  SOWN(true),
  /** The bed is growing. */
  GROWING(false),
  /** The bed is resting. */
  RESTING(false);

  private final boolean open;

  BedState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a bed in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a bed that usually follows; the whole way is dug, sown, growing, resting.
   *
   * @return the next stage of the bed, or nothing once it is resting
   */
  public Optional<BedState> next() {
    BedState[] bedStates = values();
    int following = ordinal() + 1;
    return following < bedStates.length ? Optional.of(bedStates[following]) : Optional.empty();
  }
}
