/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.vineyard;

import java.util.Optional;

/** The stages that a cask goes through in the vineyard, in their usual order. */
public enum CaskState {
  /** The cask is filled. */
  FILLED(true),
  /** The cask is fermenting. */
  FERMENTING(true),
  /** The cask is racked. */
  RACKED(true),
  /** The cask is bottled. */
  BOTTLED(false);

  private final boolean open;

  CaskState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a cask in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a cask that usually follows; the whole way is filled, fermenting, racked, bottled.
   *
   * @return the next stage of the cask, or nothing once it is bottled
   */
  public Optional<CaskState> next() {
    CaskState[] caskStates = values();
    int following = ordinal() + 1;
    return following < caskStates.length ? Optional.of(caskStates[following]) : Optional.empty();
  }
}
