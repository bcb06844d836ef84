/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.quarry;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One block as the quarry keeps it: where it is and how many tons of stone it counts.
 *
 * @param chisel what tells it from every other block
 * @param bench where it is to be found
 * @param tons how many tons of stone it counts, never below zero
 * @param since the day on which it was entered
 */
public record Block(String chisel, String bench, int tons, LocalDate since)
    implements Comparable<Block> {

  /** Refuses a block that nobody could find again. */
  public Block {
    Objects.requireNonNull(since, "since");
    if (chisel == null || chisel.isBlank()) {
      throw new IllegalArgumentException("a block needs a chisel");
    }
    if (tons < 0) {
      throw new IllegalArgumentException("tons must not be negative: " + tons);
    }
  }

  /**
   * Tells how long this block has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysBenchHoldsBlock(LocalDate today) {
    LocalDate blockEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(blockEntered, today));
  }

  /** Returns a copy of this block that stands in another bench; everything else is kept. */
  public Block movedTo(String otherBench) {
    return new Block(chisel, Objects.requireNonNull(otherBench), tons, since);
  }

  /**
   * Splits off some of the tons of stone into a block of its own.
   *
   * @param tonsTaken how many tons of stone go
   * @param chiselOfNew the chisel of the new block
   * @return the new block in the same bench; this one is unchanged, as records are
   * @throws IllegalArgumentException when the block has not as many tons of stone
   */
  public Block splitBlock(int tonsTaken, String chiselOfNew) {
    if (tonsTaken > tons) {
      throw new IllegalArgumentException("only " + tons + " tons of stone to take from");
    }
    return new Block(chiselOfNew, bench, tonsTaken, since);
  }

  /** Writes the block on one line, the chisel first, for the printed list of the quarry. */
  public String toLine() {
    return String.join(";", chisel, bench, Integer.toString(tons), since.toString());
  }

  @Override
  public int compareTo(Block other) {
    return chisel.compareTo(other.chisel);
  }
}
