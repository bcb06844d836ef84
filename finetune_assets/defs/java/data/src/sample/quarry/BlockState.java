/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.quarry;

import java.util.Optional;

/** The stages that a block goes through in the quarry, in their usual order. */
public enum BlockState {
  /** The block is split. */
  SPLIT(true),
  /** The block is dressed. */
  DRESSED(false),
  /** The block is polished. */
  POLISHED(false),
  /** The block is delivered. */
  DELIVERED(false);

  private final boolean open;

  BlockState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a block in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a block that usually follows; the whole way is split, dressed, polished, delivered.
   *
   * @return the next stage of the block, or nothing once it is delivered
   */
  public Optional<BlockState> next() {
    BlockState[] blockStates = values();
    int following = ordinal() + 1;
    return following < blockStates.length ? Optional.of(blockStates[following]) : Optional.empty();
  }
}
