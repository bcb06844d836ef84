/** Files that are odd in one way or another; the reader has to cope with them. */
package sample.odd;
